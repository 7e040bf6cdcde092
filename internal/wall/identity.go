package wall

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// An Identity lets a proxy stand in for servers of https, so that what is said to
// them can be held against its limits. It is a key that is made for one browser
// and never stored. Its certificates sign themselves: they are worth something
// only to who is told the key's Pin, and the servers' own are checked by the
// proxy.
type Identity struct {
	key *ecdsa.PrivateKey
	pin string

	mu      sync.Mutex
	configs map[string]*tls.Config // by host
}

// maxConfigs bounds how many hosts an Identity remembers.
const maxConfigs = 500

// NewIdentity makes a key.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for https: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("make a key for https: %w", err)
	}
	sum := sha256.Sum256(public)
	return &Identity{key: key, pin: base64.StdEncoding.EncodeToString(sum[:]), configs: map[string]*tls.Config{}}, nil
}

// Pin is the SHA-256 of the public key as browsers name it: in base64, over its
// SubjectPublicKeyInfo (RFC 7469, section 2.4).
func (i *Identity) Pin() string { return i.pin }

// server is how to be the server of a host.
func (i *Identity) server(host string) (*tls.Config, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.configs[host]; c != nil {
		return c, nil
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "chorale"}, // a host may be longer than a name may be
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.Add(30 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &i.key.PublicKey, i.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", host, err)
	}
	if len(i.configs) >= maxConfigs {
		clear(i.configs)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: i.key}},
		NextProtos:   []string{"http/1.1"},
	}
	i.configs[host] = c
	return c, nil
}
