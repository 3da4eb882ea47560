// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"

	"github.com/tegata/tegata/internal/exit"
)

// nearest suggests what a mistyped name may have meant, or says otherwise.
func nearest(name string, names []string, kind, otherwise string) string {
	if best := exit.Nearest(name, names); best != "" {
		return fmt.Sprintf("did you mean %s%s?", kind, best)
	}
	return otherwise
}
