// Package chrome runs one headless Chromium and loads pages in it. Chromium's
// own sandbox is always on and it never runs as root; every byte goes through
// the proxy that is given. Each page gets a browser context of its own, which
// is thrown away with all that the page opened when its text was taken.
package chrome

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Config says how to run the browser.
type Config struct {
	Binary string // path of Chromium; empty: Find
	// Serve starts the proxy that is the browser's only way out, on a listener
	// which it closes. It is closed with the browser. Required.
	Serve func(net.Listener) io.Closer
	// NoJail runs the browser in the host's namespaces, for systems where it can
	// not have its own (CanJail). Its own sandbox is on in any case.
	NoJail bool
	// Keep has all pages share one context: its cookies and storage last as long
	// as the browser.
	Keep bool
	// Pin is the key that the proxy speaks https with, as browsers name it (RFC 7469,
	// section 2.4), where it does not let https pass unseen.
	Pin string
	// Network is told the events of DevTools' Network domain. It must not block.
	Network func(method string, params []byte)
}

// Limits bound what one page may take.
type Limits struct {
	Time   time.Duration // until what is there is read
	Memory int64         // resident bytes of its process; at most maxMemory
}

const (
	maxMemory = 1 << 30
	startTime = 40 * time.Second
	callTime  = 15 * time.Second // of what needs no page's help; long on a busy machine only
)

// Browser is one running Chromium. It loads one page at a time.
type Browser struct {
	process *process
	conn    *conn
	keep    bool
	network func(method string, params []byte)

	loading sync.Mutex
	kept    string // the shared context; guarded by loading

	mu      sync.Mutex
	crashed map[string]func()         // by target: what to do when its renderer dies
	dropped map[string]func(Download) // by frame: what to do when it starts a download
}

// Start runs Chromium and waits until it answers.
func Start(ctx context.Context, c Config) (*Browser, error) {
	if c.Serve == nil {
		return nil, fmt.Errorf("start Chromium: no proxy given")
	}
	if c.Binary == "" {
		var err error
		if c.Binary, err = Find(); err != nil {
			return nil, err
		}
	}
	p, err := startProcess(c)
	if err != nil {
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	b := &Browser{process: p, conn: newConn(p.out, p.in), keep: c.Keep, network: c.Network, crashed: map[string]func(){}, dropped: map[string]func(Download){}}
	b.conn.on("", b.event)
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := b.conn.call(ctx, "", "Target.setDiscoverTargets", map[string]any{"discover": true}, nil); err != nil {
		b.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("start Chromium: no answer: %w", ctx.Err())
		}
		return nil, fmt.Errorf("start Chromium: %s", p.why())
	}
	return b, nil
}

// Done is closed when the browser has ended, for whatever reason.
func (b *Browser) Done() <-chan struct{} { return b.conn.done }

// Pid is the process id of the browser, and of its process group.
func (b *Browser) Pid() int { return b.process.pid() }

// Dir is the folder of its profile.
func (b *Browser) Dir() string { return b.process.dir }

// Kill ends the browser as if it had crashed, and returns when that was noticed.
func (b *Browser) Kill() {
	b.process.kill()
	<-b.conn.done
}

// Close ends the browser and every process of it, and removes its files.
func (b *Browser) Close() error {
	b.process.kill()
	b.conn.close()
	return b.process.clear()
}

// flags are the command line. The proxy and the resolver rule keep the network
// process from connecting or resolving anything itself; the rest turns off
// what talks to servers on its own.
func flags(proxy, pin string) []string {
	return []string{
		"--headless",
		"--remote-debugging-pipe",
		"--proxy-server=http://" + proxy,
		"--proxy-bypass-list=<-loopback>",
		"--ignore-certificate-errors-spki-list=" + pin,
		"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
		"--webrtc-ip-handling-policy=disable_non_proxied_udp",
		"--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
		"--disable-quic",
		"--dns-prefetch-disable",
		"--no-pings",
		"--no-first-run",
		"--no-default-browser-check",
		"--disable-background-networking",
		"--disable-breakpad",
		"--disable-client-side-phishing-detection",
		"--disable-component-update",
		"--disable-crash-reporter",
		"--disable-default-apps",
		"--disable-dev-shm-usage",
		"--disable-domain-reliability",
		"--disable-extensions",
		"--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider," +
			"AutofillServerCommunication,CertificateTransparencyComponentUpdater,DnsOverHttps," +
			"SpareRendererForSitePerProcess,InterestFeedContentSuggestions",
		"--disable-gpu",
		"--disable-sync",
		"--deny-permission-prompts",
		"--hide-scrollbars",
		"--metrics-recording-only",
		"--mute-audio",
		"--password-store=basic",
		"--safebrowsing-disable-auto-update",
		"--use-mock-keychain",
	}
}
