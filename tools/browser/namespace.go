package browser

import (
	"encoding/json"

	"chorale/harmony"
)

// namespace is declared word for word, and with the keys in the order, that
// the models were trained with (openai-harmony, ToolNamespaceConfig.browser).
func namespace() harmony.Namespace {
	return harmony.Namespace{
		Name: "browser",
		Description: "Tool for browsing.\n" +
			"The `cursor` appears in brackets before each browsing display: `[{cursor}]`.\n" +
			"Cite information from the tool using the following format:\n" +
			"`【{cursor}†L{line_start}(-L{line_end})?】`, for example: `【6†L9-L11】` or `【8†L3】`.\n" +
			"Do not quote more than 10 words directly from the tool output.\n" +
			"sources=web (default: web)",
		Functions: []harmony.Function{
			{
				Name:        "search",
				Description: "Searches for information related to `query` and displays `topn` results.",
				Parameters: json.RawMessage(`{"type":"object","properties":{` +
					`"query":{"type":"string"},` +
					`"topn":{"type":"number","default":10},` +
					`"source":{"type":"string"}},` +
					`"required":["query"]}`),
			},
			{
				Name: "open",
				Description: "Opens the link `id` from the page indicated by `cursor` starting at line number `loc`, showing `num_lines` lines.\n" +
					"Valid link ids are displayed with the formatting: `【{id}†.*】`.\n" +
					"If `cursor` is not provided, the most recent page is implied.\n" +
					"If `id` is a string, it is treated as a fully qualified URL associated with `source`.\n" +
					"If `loc` is not provided, the viewport will be positioned at the beginning of the document or centered on the most relevant passage, if available.\n" +
					"Use this function without `id` to scroll to a new location of an opened page.",
				Parameters: json.RawMessage(`{"type":"object","properties":{` +
					`"id":{"type":["number","string"],"default":-1},` +
					`"cursor":{"type":"number","default":-1},` +
					`"loc":{"type":"number","default":-1},` +
					`"num_lines":{"type":"number","default":-1},` +
					`"view_source":{"type":"boolean","default":false},` +
					`"source":{"type":"string"}}}`),
			},
			{
				Name:        "find",
				Description: "Finds exact matches of `pattern` in the current page, or the page given by `cursor`.",
				Parameters: json.RawMessage(`{"type":"object","properties":{` +
					`"pattern":{"type":"string"},` +
					`"cursor":{"type":"number","default":-1}},` +
					`"required":["pattern"]}`),
			},
		},
	}
}
