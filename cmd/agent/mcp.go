package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/harmony"
	"chorale/runtime"
	"chorale/tools"
	"chorale/tools/functions"
)

const mcpHelp = `Offer tools to another program's model, as an MCP server on standard input and
output. Without a task file that is the sandboxed Python; with one, the tools
that the task names: what "agent run TASK.yaml" would let its model do, the other
model may do, under the same policies and limits. The task's prompt is not shown
to the other model, but the names and addresses in it count as the user's words.

Each call goes through the policy's decision and is kept, as in a run, in a run's
folder. Nobody is asked: what a policy wants asked is denied.`

// onlyPython is the task that is served where none is named.
const onlyPython = `apiVersion: agent/v1
kind: Task
name: mcp
prompt: none
tools: {python: {}}
limits: {toolCalls: 10000}
`

func newMCP(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "mcp [TASK.yaml]", Short: "Offer the tools of a task to any MCP client", Long: mcpHelp, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return serveMCP(cmd, std, args) },
	}
	flags := cmd.Flags()
	flags.StringArray("policy", nil, "one more policy `file`; it can only narrow")
	flags.String("run-dir", "", "`folder` that runs are kept in")
	cmd.AddCommand(newPin(std))
	return cmd
}

// serveMCP serves until the client closes our input.
func serveMCP(cmd *cobra.Command, std streams, args []string) error {
	ctx := cmd.Context()
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return err
	}
	job, err := servedTask(args)
	if err != nil {
		return err
	}
	gate, err := loadPolicies(job, cfg.Policies)
	if err != nil {
		return err
	}
	manifest, err := loadManifests(job)
	if err != nil {
		return err
	}
	servers, err := connectServers(ctx, std, job, gate, false)
	if err != nil {
		return &exitError{code: runtime.ExitCode(statusOf(err)), err: err}
	}
	defer servers.Close()
	granted, err := grants(job, gate, &cfg.Search, servers.set)
	if err != nil {
		return err
	}
	for _, text := range unconfined(job) {
		std.log.Info(text)
	}
	if err := prepare(cmd, std, job, cfg); err != nil {
		return &exitError{code: runtime.ExitTool, err: err}
	}
	session := &runtime.Session{
		Job: job, Encoding: harmony.O200kHarmony(), Grants: granted, Manifest: manifest, Gate: gate,
		Runs: cfg.Runs, Now: time.Now, Version: version, Engine: "none: calls come over MCP",
	}
	service, err := session.Serve()
	if err != nil {
		return &exitError{code: runtime.ExitTool, err: err}
	}
	err = offer(ctx, service, std)
	res, e := service.Close(ctx)
	std.log.Info("the run's folder is " + shortPath(res.Dir))
	if err == nil || ctx.Err() != nil { // an interruption is both
		err = e
	}
	if err != nil {
		return &exitError{code: runtime.ExitTool, err: err}
	}
	return nil
}

func servedTask(args []string) (*runtime.Job, error) {
	if len(args) == 0 {
		job, err := runtime.Parse("mcp", []byte(onlyPython))
		if err != nil {
			return nil, err
		}
		return job, job.Set(nil)
	}
	job, err := runtime.Read(args[0])
	if err != nil {
		return nil, err
	}
	return job, job.Set(nil)
}

// offer speaks MCP on the standard streams.
func offer(ctx context.Context, service *runtime.Service, std streams) error {
	server := sdk.NewServer(&sdk.Implementation{Name: "chorale", Version: version}, &sdk.ServerOptions{
		Logger: slog.New(slog.DiscardHandler),
	})
	seen := map[string]bool{}
	for _, o := range offers(service.Declared()) {
		if seen[o.tool.Name] {
			return fmt.Errorf("two tools are called %s", o.tool.Name)
		}
		seen[o.tool.Name] = true
		server.AddTool(o.tool, o.handler(service))
	}
	err := server.Run(ctx, &sdk.IOTransport{Reader: io.NopCloser(std.in), Writer: writeCloser{std.out}})
	if errors.Is(err, io.EOF) {
		return nil // the client has gone
	}
	return err
}

type writeCloser struct{ io.Writer }

func (writeCloser) Close() error { return nil }

// offered is one of our tools as an MCP client sees it.
type offered struct {
	tool      *sdk.Tool
	recipient string                                // as our models name it
	args      func(json.RawMessage) (string, error) // what our tool is given
}

// sourceSchema is how a namespace that is called itself, as python is, takes the
// text that a model of ours would write.
const sourceSchema = `{"type":"object","properties":{"code":{"type":"string","description":"the source text to run"}},"required":["code"],"additionalProperties":false}`

const noParameters = `{"type":"object","additionalProperties":false}`

// offers lists the tools: functions under their own names, those of other
// namespaces as namespace_function.
func offers(declared []harmony.Namespace) []offered {
	var out []offered
	for _, ns := range declared {
		if len(ns.Functions) == 0 {
			out = append(out, offered{&sdk.Tool{Name: ns.Name, Description: ns.Description, InputSchema: json.RawMessage(sourceSchema)}, ns.Name, source})
		}
		for _, f := range ns.Functions {
			schema := f.Parameters
			if schema == nil {
				schema = json.RawMessage(noParameters)
			}
			name := f.Name
			if ns.Name != functions.Namespace {
				name = ns.Name + "_" + f.Name
			}
			asIs := func(args json.RawMessage) (string, error) { return string(args), nil }
			out = append(out, offered{&sdk.Tool{Name: name, Description: f.Description, InputSchema: schema}, ns.Name + "." + f.Name, asIs})
		}
	}
	return out
}

// source is the code of a call.
func source(args json.RawMessage) (string, error) {
	var in struct {
		Code *string `json:"code"`
	}
	if err := json.Unmarshal(args, &in); err != nil || in.Code == nil {
		return "", errors.New(`the arguments must be an object with a string "code"`)
	}
	return *in.Code, nil
}

func (o offered) handler(service *runtime.Service) sdk.ToolHandler {
	return func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		args, err := o.args(r.Params.Arguments)
		if err != nil {
			return mcpResult(tools.Result{Failed: true, Text: "Error: " + err.Error()}), nil
		}
		result, err := service.Do(ctx, o.recipient, args)
		if err != nil {
			return nil, err
		}
		return mcpResult(result), nil
	}
}

// mcpResult is a result as MCP has it. Files that a call left are named.
func mcpResult(r tools.Result) *sdk.CallToolResult {
	out := &sdk.CallToolResult{IsError: r.Failed, Content: []sdk.Content{&sdk.TextContent{Text: r.Text}}}
	for _, a := range r.Artifacts {
		link := url.URL{Scheme: "file", Path: filepath.ToSlash(a.Path)}
		out.Content = append(out.Content, &sdk.ResourceLink{URI: link.String(), Name: a.Name, Size: &a.Size})
	}
	return out
}
