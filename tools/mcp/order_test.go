package mcp

import (
	"encoding/json"
	"strings"
	"testing"
)

// Parameters stand in the server's order, those that are required first.
func TestOrder(t *testing.T) {
	const want = `{"type":"object","properties":{"to":{"type":"string"},"from":{"type":"string"},"when":{"type":"object","properties":{"year":{"type":"integer"},"month":{"type":"integer"},"day":{"type":"integer"}}},"class":{"type":"string"},"bags":{"type":"integer"}},"required":["to","from"]}`
	for _, server := range []Server{ours(t, "steady", "flight"), here(t, nil, "flight")} {
		servers, err := Connect(t.Context(), []Server{server}, "test")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(servers.Declarations()[0].Parameters); got != want {
			t.Errorf("%s%s: got\n%s, want\n%s", server.Command, server.URL, got, want)
		}
		servers.Close()
	}
}

// What is read a second time is believed only where it says the same.
func TestOrderIsNoSecondOpinion(t *testing.T) {
	var o orderer
	o.listen(true)
	line := `data: {"result":{"tools":[{"name":"a","inputSchema":{"b":[1,{"z":null,"y":true}],"a":{}}}]}}`
	o.rest(o.hear(o.hear(nil, []byte(line[:20])), []byte(line[20:])))
	for schema, known := range map[string]bool{
		`{"a":{},"b":[1,{"y":true,"z":null}]}`: true, `{"a":{},"b":[1,{"y":false,"z":null}]}`: false, `{"a":{}}`: false, `[]`: false,
	} {
		var said any
		if err := json.Unmarshal([]byte(schema), &said); err != nil {
			t.Fatal(err)
		}
		root := o.schemas["a"]
		if got := same(root, said); (got != nil) != known {
			t.Errorf("%s: %v", schema, got)
		} else if known && strings.Join(keysOf(got), "") != "ba" {
			t.Errorf("the keys are %q", keysOf(got))
		}
	}
	if same(json.RawMessage("{"), nil) != nil {
		t.Error("what is no JSON has an order")
	}
}
