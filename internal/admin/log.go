// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"io"
	"log/slog"
)

// level reads the configured level; empty is info.
func (l logConfig) level() (slog.Level, error) {
	var level slog.Level
	if l.Format != "" && l.Format != "text" && l.Format != "json" {
		return level, fmt.Errorf("unknown format %q; text and json are known", l.Format)
	}
	if l.Level == "" {
		return slog.LevelInfo, nil
	}
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return level, fmt.Errorf("unknown level %q; debug, info, warn and error are known", l.Level)
	}
	return level, nil
}

// logger writes the server's log: text for people, or one JSON object a line.
func (l logConfig) logger(w io.Writer) (*slog.Logger, error) {
	level, err := l.level()
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}
