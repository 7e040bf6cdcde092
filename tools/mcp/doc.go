// Package mcp lets the model use the tools of MCP servers: programs that are
// started for the run and speak over their standard streams, and services that
// are reached over streamable HTTP. Each tool that the task names becomes one
// function of the functions namespace, called server_tool.
//
// A server is not trusted. Only the tools that the task names exist. What a
// server says of them is cleaned of everything but words, and shown to the
// model only if a person has accepted exactly that: the accepted declarations
// are pinned by hash, and one that has changed, also in the middle of a run, is
// not called. What a server answers is data, bounded in length. A server that
// crashes, hangs or floods is ended with all that it started; the next call
// starts it anew.
//
// It refuses what servers may ask of a client: no sampling, no elicitation, no
// roots; prompts, resources and a server's instructions are not read. A
// server's own word on what its tools do (annotations) counts for nothing.
package mcp
