package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// certificateCheck is how often at most the files of a certificate are looked at.
const certificateCheck = 10 * time.Second

// certificate is a TLS certificate that is read again when its files change, so that renewing it needs no restart.
type certificate struct {
	cfg TLSConfig
	log *zap.Logger

	mu      sync.Mutex // guards all below
	loaded  *tls.Certificate
	changed [2]time.Time // when cert and key were last modified, as loaded
	checked time.Time
}

// newTLSConfig gives nil where no certificate is configured.
func newTLSConfig(cfg TLSConfig, log *zap.Logger) (*tls.Config, error) {
	if cfg.Cert == "" {
		return nil, nil
	}
	c := &certificate{cfg: cfg, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("load TLS certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) >= certificateCheck {
		// While the two files are being exchanged they may not fit; the old pair serves until they do.
		if err := c.load(); err != nil {
			c.log.Warn("TLS certificate was not read again", zap.Error(err))
		}
	}
	return c.loaded, nil
}

func (c *certificate) load() error {
	c.checked = time.Now()
	var changed [2]time.Time
	for i, path := range []string{c.cfg.Cert, c.cfg.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		changed[i] = info.ModTime()
	}
	if c.loaded != nil && changed == c.changed {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cfg.Cert, c.cfg.Key)
	if err != nil {
		return err
	}
	c.loaded, c.changed = &pair, changed
	return nil
}
