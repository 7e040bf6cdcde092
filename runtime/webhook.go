package runtime

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"chorale/agent"
)

// Webhook asks a person by way of a server: the question goes there as JSON,
// and a reply of {"approve": true} is a yes. All else is a no: another reply, a
// redirect, no reply in time. That the server cannot be reached is told, since a
// person may wait for a question that never came.
type Webhook struct {
	URL    string
	Wait   time.Duration // for the reply
	Secret []byte        // signs the question, as Standard Webhooks has it (standardwebhooks.com); nil: it is not signed
}

// ParseSecret reads a secret as Standard Webhooks writes it: whsec_ and at least
// 16 bytes in base64. Nothing is no secret.
func ParseSecret(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(text, "whsec_")
	secret, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil || len(secret) < 16 {
		return nil, errors.New("the secret must be whsec_ and at least 16 bytes in base64, as: echo whsec_$(openssl rand -base64 24)")
	}
	return secret, nil
}

// sign says in headers who asks: an HMAC over id, time and body.
func (w Webhook) sign(h http.Header, id string, at time.Time, body []byte) {
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	if w.Secret != nil {
		mac := hmac.New(sha256.New, w.Secret)
		fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
		h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
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
	w.sign(r.Header, cmp.Or(q.Call.Key, q.Call.ID), time.Now(), body)
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
