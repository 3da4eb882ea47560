// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/store"
)

// Device is a device that waits for ten minutes.
func Device(id string) grant.DeviceRequest {
	return grant.DeviceRequest{
		ID: id, Client: "c", Scopes: oidc.Scopes{"openid", "groups"}, CodeHash: "code hash of " + id, UserCodeHash: "user code of " + id,
		CodeChallenge: "challenge", From: session.Device{Name: "curl/8", Address: "192.0.2.7"}, CreatedAt: Noon, ExpiresAt: Noon.Add(10 * time.Minute),
	}
}

func devicesAreKeptWhole(t *testing.T, open Opener) {
	db := open(t)
	i, other := AddIssuer(t, db, "one"), AddIssuer(t, db, "two")
	ctx := t.Context()
	want := Device("d")
	Check(t, i.AddDeviceRequest(ctx, want, 2))
	WantErr(t, "the same user code", i.AddDeviceRequest(ctx, func() grant.DeviceRequest { d := Device("e"); d.UserCodeHash = want.UserCodeHash; return d }(), 2), grant.ErrTaken)
	Check(t, i.AddDeviceRequest(ctx, Device("e"), 2))
	WantErr(t, "one too many", i.AddDeviceRequest(ctx, Device("f"), 2), grant.ErrTooMany)
	another := Device("f")
	another.Client = "another"
	Check(t, i.AddDeviceRequest(ctx, another, 2))
	late := Device("g")
	late.CreatedAt, late.ExpiresAt = Noon.Add(time.Hour), Noon.Add(70*time.Minute)
	Check(t, i.AddDeviceRequest(ctx, late, 2)) // the others have expired by then

	for name, find := range map[string]func(*store.Issuer) (grant.DeviceRequest, error){
		"by its code": func(i *store.Issuer) (grant.DeviceRequest, error) { return i.DeviceRequestByCode(ctx, want.CodeHash) },
		"by the user's": func(i *store.Issuer) (grant.DeviceRequest, error) {
			return i.DeviceRequestByUserCode(ctx, want.UserCodeHash)
		},
	} {
		got, err := find(i)
		Check(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		_, err = find(other)
		WantErr(t, name+", at another issuer", err, grant.ErrNotFound)
	}
	_, err := i.DeviceRequestByCode(ctx, want.UserCodeHash)
	WantErr(t, "one code for the other", err, grant.ErrNotFound)
	Check(t, i.AddClient(ctx, Client("c"), Noon))
	Check(t, i.DeleteClient(ctx, "c"))
	_, err = i.DeviceRequestByCode(ctx, want.CodeHash)
	WantErr(t, "after its client was deleted", err, grant.ErrNotFound)
	Check(t, i.Sweep(ctx, Noon.Add(time.Hour)))
	_, err = i.DeviceRequestByCode(ctx, another.CodeHash)
	WantErr(t, "after its time", err, grant.ErrNotFound)
}

func devicesAreDecidedOnce(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	alice := Account("alice")
	Check(t, i.AddAccount(ctx, alice, Noon))
	Check(t, i.AddSession(ctx, Session("s", string(alice.Subject))))
	Check(t, i.AddDeviceRequest(ctx, Device("d"), 9))
	g := Grant("g", "c", string(alice.Subject))
	g.CodeHash, g.CodeChallenge, g.CodeExpiresAt = "", "", time.Time{}

	WantErr(t, "by a session that is gone", i.AllowDevice(ctx, "d", g, "gone", Noon), session.ErrOvertaken)
	WantErr(t, "by nobody's session", i.AllowDevice(ctx, "d", g, "", Noon), session.ErrOvertaken)
	if d, err := i.DeviceRequestByCode(ctx, Device("d").CodeHash); err != nil || !d.Waits(Noon) {
		t.Errorf("after a try that was refused: %+v, %v; want it waiting", d, err)
	}
	WantErr(t, "too late", i.AllowDevice(ctx, "d", g, "s", Noon.Add(time.Hour)), grant.ErrDecided)
	WantErr(t, "an unknown one", i.AllowDevice(ctx, "x", g, "s", Noon), grant.ErrDecided)

	// Of many who decide at once, one does.
	var wait sync.WaitGroup
	var mu sync.Mutex
	allowed := ""
	for n := range 16 {
		wait.Go(func() {
			mine := g
			mine.ID = fmt.Sprint("g", n)
			err := i.AllowDevice(ctx, "d", mine, "s", Noon)
			if n%4 == 3 {
				err = i.DenyDevice(ctx, "d", Noon)
				mine.ID = "nobody's"
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && allowed == "":
				allowed = mine.ID
			case !errors.Is(err, grant.ErrDecided):
				t.Errorf("%d: got %v after %q", n, err, allowed)
			}
		})
	}
	wait.Wait()
	d, err := i.DeviceRequestByCode(ctx, Device("d").CodeHash)
	Check(t, err)
	if d.Waits(Noon) {
		t.Errorf("%+v still waits", d)
	}
	if d.Grant != "" {
		got, err := i.Grant(ctx, d.Grant)
		Check(t, err)
		if got.CodeHash != d.CodeHash || got.CodeChallenge != "challenge" || !got.CodeExpiresAt.Equal(d.ExpiresAt) || got.Device != d.From || got.SessionID != "" {
			t.Errorf("the grant is %+v, want the device's code in it", got)
		}
	}
	// The grants that lost are not there.
	grants, _, err := i.GrantList(ctx, store.GrantFilter{}, store.Page{}, Noon)
	Check(t, err)
	if len(grants) != 0 { // none is exchanged
		t.Errorf("got the grants %+v", grants)
	}
}

func grantsOfUsersStandOnTheirEpoch(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	alice := Account("alice")
	Check(t, i.AddAccount(ctx, alice, Noon))
	Check(t, i.AddGrantOfUser(ctx, Grant("one", "c", string(alice.Subject)), 0))
	Check(t, i.SetPassword(ctx, alice.Subject, local.NewPassword{Hash: "another"}, Noon))
	WantErr(t, "of the epoch before", i.AddGrantOfUser(ctx, Grant("two", "c", string(alice.Subject)), 0), session.ErrOvertaken)
	Check(t, i.AddGrantOfUser(ctx, Grant("three", "c", string(alice.Subject)), 1))
	Check(t, i.SetDisabled(ctx, alice.Subject, true, Noon))
	WantErr(t, "of a disabled user", i.AddGrantOfUser(ctx, Grant("four", "c", string(alice.Subject)), 2), session.ErrOvertaken)
	WantErr(t, "of nobody", i.AddGrantOfUser(ctx, Grant("five", "c", "nobody"), 0), session.ErrOvertaken)
	for id, live := range map[string]bool{"one": false, "three": false} {
		if g, err := i.Grant(ctx, id); err != nil || g.Live(Noon) != live {
			t.Errorf("%s: %+v, %v", id, g, err)
		}
	}
	_, err := i.Grant(ctx, "two")
	WantErr(t, "the one that was refused", err, grant.ErrNotFound)
}

func identifiersAreSpentOnce(t *testing.T, open Opener) {
	db := open(t)
	i, other := AddIssuer(t, db, "one"), AddIssuer(t, db, "two")
	ctx := t.Context()
	var wait sync.WaitGroup
	var mu sync.Mutex
	first := 0
	for range 16 {
		wait.Go(func() {
			yes, err := i.Spend(ctx, "id", Noon.Add(time.Minute))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if yes {
				first++
			}
		})
	}
	wait.Wait()
	if first != 1 {
		t.Errorf("%d were the first, want 1", first)
	}
	for name, test := range map[string]struct {
		of   *store.Issuer
		id   string
		want bool
	}{"it": {i, "id", true}, "another": {i, "id2", false}, "another issuer's": {other, "id", false}} {
		if got, err := test.of.Spent(ctx, test.id); err != nil || got != test.want {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, test.want)
		}
	}
	Check(t, i.Sweep(ctx, Noon))
	if got, err := i.Spent(ctx, "id"); err != nil || !got {
		t.Errorf("before its time: got %v, %v", got, err)
	}
	Check(t, i.Sweep(ctx, Noon.Add(time.Minute)))
	if got, err := i.Spent(ctx, "id"); err != nil || got {
		t.Errorf("after its time: got %v, %v", got, err)
	}
}

func clientsChangeAsOne(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	Check(t, i.AddClient(ctx, Client("c"), Noon))
	var wait sync.WaitGroup
	for n := range 16 {
		wait.Go(func() {
			if _, err := i.ChangeClient(ctx, "c", func(c *clientregistry.Client) error {
				c.Origins = append(c.Origins, fmt.Sprintf("https://%d.example.com", n))
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	c, err := i.Client(ctx, "c")
	Check(t, err)
	origins, err := i.ClientOrigins(ctx)
	Check(t, err)
	if len(c.Origins) != 16 || len(origins) != 16 {
		t.Errorf("got %d and %d origins of 16 changes", len(c.Origins), len(origins))
	}
	refusal := errors.New("no")
	if _, err := i.ChangeClient(ctx, "c", func(c *clientregistry.Client) error { c.Name = "x"; return refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v, want the refusal", err)
	}
	if c, err = i.Client(ctx, "c"); err != nil || c.Name != "" {
		t.Errorf("after a refusal: %+v, %v", c, err)
	}
	_, err = i.ChangeClient(ctx, "none", func(*clientregistry.Client) error { return nil })
	WantErr(t, "no such client", err, clientregistry.ErrNotFound)
}
