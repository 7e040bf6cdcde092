// Package browser is the browser tool that gpt-oss was trained with: search,
// open and find over numbered windows of page text.
package browser
