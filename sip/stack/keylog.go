package stack

import (
	"fmt"
	"os"
	"sync"

	"go.uber.org/zap"
)

// keyLog is the file of TLS secrets (SSLKEYLOGFILE format) that an operator asked for. Who reads it can decrypt a capture of
// the signalling: digests, SRTP keys and the keys of conversations. So it is the file's owner's alone, and never opened
// because of an environment variable.
type keyLog struct {
	file *os.File
	log  *zap.Logger
	once sync.Once
}

// openKeyLog appends to the file at path, and warns.
func openKeyLog(path string, log *zap.Logger) (*keyLog, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("key log: %w", err)
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s is open to others (%v), want mode 0600", path, info.Mode().Perm())
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("key log: %w", err)
	}
	log.Warn("TLS SECRETS ARE WRITTEN DOWN: who has this file can read all signalling and decrypt the calls, remove sip.tls.key_log and the file when done",
		zap.String("file", path))
	return &keyLog{file: file, log: log}, nil
}

// Write implements io.Writer for crypto/tls, which fails a handshake with its error. A full disk must not cost a call, so there is none.
func (k *keyLog) Write(line []byte) (int, error) {
	if _, err := k.file.Write(line); err != nil {
		k.once.Do(func() { k.log.Warn("key log not written", zap.Error(err)) })
	}
	return len(line), nil
}

func (k *keyLog) Close() error { return k.file.Close() }
