package shape

import (
	"net/url"
	"strings"
)

// index finds the anchors, the first one of each name.
func (c *compiler) index(v *value) {
	for i, item := range v.items {
		if v.kind == kObject && item.kind == kString {
			switch v.keys[i] {
			case "$anchor", "$dynamicAnchor":
				if c.anchors[item.text] == nil {
					c.anchors[item.text] = v
				}
				if v.keys[i] == "$dynamicAnchor" {
					c.dynamic[item.text]++
				}
			}
		}
		if v.kind == kObject && (v.keys[i] == "enum" || v.keys[i] == "const") {
			continue
		}
		c.index(item)
	}
}

// resolve returns the schema that a reference names.
func (c *compiler) resolve(v *value, key string, arg *value) (*value, error) {
	if arg.kind != kString {
		return nil, invalid(v, key, "wants a string")
	}
	base, fragment, _ := strings.Cut(arg.text, "#")
	if id := c.root.get("$id"); base != "" && (id == nil || strings.TrimSuffix(id.text, "#") != base) {
		return nil, unsupported(v, key, "%q is in another document", arg.text)
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, invalid(v, key, "%q is not a reference: %v", arg.text, err)
	}
	if fragment != "" && fragment[0] != '/' {
		if to := c.anchors[fragment]; to != nil {
			return to, nil
		}
		return nil, invalid(v, key, "there is no anchor %q", fragment)
	}
	to := c.root
	if fragment == "" {
		return to, nil
	}
	for _, part := range strings.Split(fragment[1:], "/") {
		if to = to.child(strings.NewReplacer("~1", "/", "~0", "~").Replace(part)); to == nil {
			return nil, invalid(v, key, "%q leads nowhere", arg.text)
		}
	}
	if to.kind != kObject && to.kind != kTrue && to.kind != kFalse {
		return nil, invalid(v, key, "%q is no schema", arg.text)
	}
	return to, nil
}

// child returns the member or item of that name.
func (v *value) child(name string) *value {
	for _, item := range v.items {
		if item.key == name {
			return item
		}
	}
	return nil
}
