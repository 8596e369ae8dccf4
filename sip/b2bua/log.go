package b2bua

import (
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// named writes a call's id into each of its lines. With of zap keeps a buffer of a kilobyte for that, as long as the call
// lasts, and most calls have five lines to write.
type named struct {
	zapcore.Core
	call []zapcore.Field // one
}

// logOf is the log of a call.
func logOf(log *zap.Logger, id string) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return &named{c, []zapcore.Field{zap.String("call", id)}}
	}))
}

// Check implements zapcore.Core.
func (n *named) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if n.Enabled(e.Level) {
		return checked.AddCore(e, n)
	}
	return checked
}

// Write implements zapcore.Core.
func (n *named) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return n.Core.Write(e, slices.Concat(n.call, fields))
}

// With implements zapcore.Core.
func (n *named) With(fields []zapcore.Field) zapcore.Core {
	return n.Core.With(slices.Concat(n.call, fields))
}
