package mcp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"chorale/internal/secret"
	"chorale/tools"
	"chorale/tools/tooltest"
)

type said struct {
	Text string `json:"text"`
}

// service is an MCP server behind an address; its tools end when over is closed.
func service(over <-chan struct{}) http.Handler {
	s := sdk.NewServer(&sdk.Implementation{Name: "service", Version: "1"}, nil)
	text := func(s string) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: s}}}, nil, nil
	}
	sdk.AddTool(s, &sdk.Tool{Name: "echo"}, func(_ context.Context, _ *sdk.CallToolRequest, in said) (*sdk.CallToolResult, any, error) {
		return text(in.Text)
	})
	s.AddTool(&sdk.Tool{Name: "flight", InputSchema: json.RawMessage(strings.ReplaceAll(flight, "\n", ""))}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return &sdk.CallToolResult{}, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "hang"}, func(ctx context.Context, _ *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
		select {
		case <-ctx.Done():
		case <-over:
		}
		return nil, nil, errors.New("cancelled")
	})
	sdk.AddTool(s, &sdk.Tool{Name: "flood"}, func(context.Context, *sdk.CallToolRequest, struct{}) (*sdk.CallToolResult, any, error) {
		return text(strings.Repeat("x", 2<<20))
	})
	sdk.AddTool(s, &sdk.Tool{Name: "overflow"}, func(context.Context, *sdk.CallToolRequest, struct{}) (*sdk.CallToolResult, any, error) {
		return text(strings.Repeat("x", maxMessage+1))
	})
	sdk.AddTool(s, &sdk.Tool{Name: "header"}, func(_ context.Context, r *sdk.CallToolRequest, _ struct{}) (*sdk.CallToolResult, any, error) {
		return text(r.Extra.Header.Get("Authorization"))
	})
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, nil)
}

// offer makes this test binary a service, until its input ends: the contract
// counts goroutines, and those of a server are not the client's.
func offer() {
	srv := httptest.NewServer(service(nil))
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// here is a service in this process. wrap may stand before it.
func here(t *testing.T, wrap func(http.Handler) http.Handler, only ...string) Server {
	t.Helper()
	over := make(chan struct{})
	h := service(over)
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		close(over)
		srv.Close()
	})
	return Server{Name: "srv", URL: srv.URL + "/mcp", Only: only}
}

func TestRemoteContract(t *testing.T) {
	other := exec.Command(os.Args[0], serve, "service")
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer stdin.Close()
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	server := Server{Name: "srv", URL: strings.TrimSpace(address) + "/mcp", Only: []string{"echo", "hang", "flood"}}
	tooltest.Run(t, tooltest.Subject{
		Open:    func(t *testing.T) tools.Tool { return open(t, server) },
		Echo:    echo,
		Endless: callOf("srv_hang", object{}),
		Flood:   callOf("srv_flood", object{}),
		Wrong:   callOf("srv_echo", object{"text": 5}),
	})
}

func TestRemoteSecret(t *testing.T) {
	t.Setenv("MCP_TEST_SECRET", "s3cr3t-value")
	server := here(t, nil, "header")
	server.Headers = map[string]string{"Authorization": "Bearer {{secret.key}}"}
	server.Secrets = map[string]secret.Source{"key": {Env: "MCP_TEST_SECRET"}}
	if r := call(t, open(t, server), "srv_header", object{}); r.Text != "Bearer [secret key]" {
		t.Errorf("got %+v", r)
	}
}

func TestRemoteMisbehaviour(t *testing.T) {
	broken := false
	o := open(t, here(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken {
				http.Error(w, "out of order", http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r)
		})
	}, "echo", "overflow"))
	if r := call(t, o, "srv_overflow", object{}); !r.Failed || len(r.Text) > 1000 {
		t.Errorf("overflow: %v, %d bytes", r.Failed, len(r.Text))
	}
	for _, broken = range []bool{false, true, false} {
		if r := call(t, o, "srv_echo", object{"text": "on"}); r.Failed != broken {
			t.Errorf("broken %v: %+v", broken, r)
		}
	}
}

// A call that waits for another's connection ends at its own limit.
func TestRemoteSideBySide(t *testing.T) {
	var state atomic.Value
	state.Store("steady")
	waits := make(chan struct{}, 10)
	o := open(t, here(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch state.Load() {
			case "gone": // so that a connection is made anew
				http.NotFound(w, r)
			case "stuck":
				io.Copy(io.Discard, r.Body) // or the end of the connection is not seen
				waits <- struct{}{}
				<-r.Context().Done()
			default:
				next.ServeHTTP(w, r)
			}
		})
	}, "echo"))
	state.Store("gone")
	call(t, o, "srv_echo", object{"text": "x"})
	state.Store("stuck")
	ask := func(limit time.Duration) {
		c := echo("x")
		c.Limits.Time = limit
		if r, err := o.Call(t.Context(), c); err == nil && !r.Failed {
			t.Errorf("a server that is stuck answers %+v", r)
		}
	}
	first := make(chan struct{})
	go func() {
		defer close(first)
		ask(3 * time.Second)
	}()
	<-waits
	start := time.Now()
	ask(200 * time.Millisecond)
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
	<-first
}

// A redirect leads nowhere but to the same origin, so that no header of ours
// goes elsewhere.
func TestRemoteStaysAtItsOrigin(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was reached with %q", r.Host, r.Header.Get("X-Key"))
	}))
	defer elsewhere.Close()
	server := here(t, func(http.Handler) http.Handler {
		return http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect)
	}, "echo")
	server.Headers = map[string]string{"X-Key": "k"}
	start := time.Now()
	if _, err := Connect(t.Context(), []Server{server}, "test"); err == nil || !strings.Contains(err.Error(), "is not allowed") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}
