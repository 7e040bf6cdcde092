package mcp

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// A server writes its parameters in an order, the weighty ones first, and the
// model reads them in one. The SDK decodes schemas into maps, which have none.
// So while tools are listed, what comes in is read a second time for the order
// alone; where that fails, parameters stand by their names.

// orderer keeps the schemas of a list of tools as the server wrote them.
type orderer struct {
	mu      sync.Mutex
	on      bool
	schemas map[string]json.RawMessage // by the tool's name
}

// listen begins to keep, or ends to.
func (o *orderer) listen(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.on = on
	if on {
		o.schemas = map[string]json.RawMessage{}
	}
}

// hear takes bytes as they come in and gives back those of the line that has not
// ended yet. A message is a line, or the data of an event on one.
func (o *orderer) hear(line, more []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.on {
		return nil
	}
	line = append(line, more...)
	for {
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			break
		}
		o.message(line[:end])
		line = line[end+1:]
	}
	if len(line) > maxMessage {
		return nil
	}
	return line
}

// rest takes the last line of a stream.
func (o *orderer) rest(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.message(line)
}

func (o *orderer) message(line []byte) {
	line = bytes.TrimPrefix(line, []byte("data:"))
	if !o.on || !bytes.Contains(line, []byte("inputSchema")) {
		return
	}
	var m struct {
		Result struct {
			Tools []struct {
				Name        string          `json:"name"`
				InputSchema json.RawMessage `json:"inputSchema"`
			} `json:"tools"`
		} `json:"result"`
	}
	if json.Unmarshal(line, &m) != nil {
		return
	}
	for _, t := range m.Result.Tools {
		o.schemas[t.Name] = t.InputSchema
	}
}

// arrange gives the schemas of tools with their order, as far as it is known.
func (o *orderer) arrange(tools []*sdk.Tool) map[string]map[string]any {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]map[string]any{}
	for _, t := range tools {
		out[t.Name] = same(o.schemas[t.Name], t.InputSchema)
	}
	return out
}

// same is a schema with its order, if it is what the SDK read; else nil.
func same(raw json.RawMessage, decoded any) map[string]any {
	root, ok := ordered(raw).(map[string]any)
	if !ok || !reflect.DeepEqual(plainly(root), decoded) {
		return nil
	}
	return root
}

// orderKey is where an object keeps its keys in order. No JSON names it, for it
// is no UTF-8.
const orderKey = "\xff"

// ordered reads JSON into maps that know the order of their keys; nil if it is
// none.
func ordered(raw json.RawMessage) any {
	var any any
	if json.Unmarshal(raw, &any) != nil {
		return nil
	}
	return inOrder(json.NewDecoder(bytes.NewReader(raw)))
}

func inOrder(d *json.Decoder) any {
	t, _ := d.Token() // it was read before
	switch t {
	case json.Delim('{'):
		out, keys := map[string]any{}, []string{}
		for d.More() {
			k, _ := d.Token()
			key, _ := k.(string)
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
			out[key] = inOrder(d)
		}
		_, _ = d.Token()
		out[orderKey] = keys
		return out
	case json.Delim('['):
		out := []any{}
		for d.More() {
			out = append(out, inOrder(d))
		}
		_, _ = d.Token()
		return out
	}
	return t
}

// plainly is v without the order.
func plainly(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, value := range v {
			if k != orderKey {
				out[k] = plainly(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainly(v[i])
		}
		return out
	}
	return v
}

// keysOf are an object's keys, in the server's order or else by name.
func keysOf(object map[string]any) []string {
	if keys, ok := object[orderKey].([]string); ok {
		return keys
	}
	return slices.Sorted(maps.Keys(object))
}
