// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"sync"
	"time"
)

// PollInterval is how long a device has to wait between two requests (RFC
// 8628, section 3.2); each request that comes too early makes it longer by as
// much (section 3.5).
const PollInterval = 5 * time.Second

// pollTolerance is how much earlier a request may come: on its way, the one
// before it may have been slower.
const pollTolerance = time.Second

// maxPaced bounds what is remembered. Each is a device that waits.
const maxPaced = 10_000

// Pace remembers, in the memory of this server, how often each device asks.
// With several replicas a device that asks too often is slowed down by each
// of them alone: a request that waits costs one read, so no harm is done.
type Pace struct {
	now func() time.Time

	mu      sync.Mutex // guards the field below
	devices map[string]polls
}

// polls is what is remembered of one device.
type polls struct {
	last, until time.Time
	interval    time.Duration
}

// NewPace makes a Pace with the clock now.
func NewPace(now func() time.Time) *Pace { return &Pace{now: now, devices: map[string]polls{}} }

// TooFast notes a request of the device, which waits until a time at the
// most, and reports whether it came too early.
func (p *Pace) TooFast(device string, until time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	known, ok := p.devices[device]
	if !ok {
		p.makeRoom(now)
		known.interval = PollInterval
	}
	early := ok && now.Sub(known.last) < known.interval-pollTolerance
	if early {
		known.interval += PollInterval
	}
	known.last, known.until = now, until
	p.devices[device] = known
	return early
}

// makeRoom forgets the devices that wait no more, or else all of them.
func (p *Pace) makeRoom(now time.Time) {
	if len(p.devices) < maxPaced {
		return
	}
	for device, known := range p.devices {
		if !now.Before(known.until) {
			delete(p.devices, device)
		}
	}
	if len(p.devices) >= maxPaced {
		clear(p.devices)
	}
}
