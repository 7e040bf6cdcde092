package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"chorale/agent"
)

// Webhook asks a person by way of a server: the question goes there as JSON,
// and a reply of {"approve": true} is a yes. All else is a no: another reply, a
// redirect, no reply in time. That the server cannot be reached is told, since a
// person may wait for a question that never came.
type Webhook struct {
	URL  string
	Wait time.Duration // for the reply
}

const maxReply = 64 << 10

// Approve implements agent.Approver.
func (w Webhook) Approve(ctx context.Context, q agent.Question) (bool, error) {
	asked, cancel := context.WithTimeout(ctx, w.Wait)
	defer cancel()
	body, err := json.Marshal(NewQuestion(q, time.Now().Add(w.Wait)))
	if err != nil {
		return false, err
	}
	r, err := http.NewRequestWithContext(asked, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case asked.Err() != nil:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("webhook: %w", err)
	}
	defer resp.Body.Close()
	var reply struct {
		Approve bool `json:"approve"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(text, &reply) != nil {
		return false, nil
	}
	return reply.Approve, nil
}
