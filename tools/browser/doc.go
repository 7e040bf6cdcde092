// Package browser is the browser tool that gpt-oss was trained with: search,
// open and find over numbered windows of page text, with the cursors, link
// markers and citations that the models know, on headless Chromium.
//
// It reaches only what its allow list names. Chromium's sandbox is always on,
// it never runs as root, and everything it loads comes through a proxy in this
// process that holds the rule at the moment of connecting. What a page says is
// data: it can neither forge a link marker nor a control token. Pages are kept
// by cursor as they were shown, so that they outlive the browser.
//
// The trained functions only read. Where the options say so, pages can be acted
// on as well, by functions of their own (PageFunctions): one page stays open then,
// and its elements have refs.
//
// Downloads are refused unless the options grant them. Chromium writes none: our
// own client fetches them.
package browser
