// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/tegata/tegata/internal/qrcode"
)

// quietZone is the light frame of a QR code (ISO/IEC 18004, section 5.3.8,
// wants four; terminals have dark around, and cameras are content with two).
const quietZone = 2

// qrCode draws a text as a QR code, two rows in each line. It is empty if the
// text is longer than a terminal could well show.
func qrCode(text string) string {
	if code := qrcode.Encode([]byte(text)); code != nil {
		return halfBlocks(code.Size, code.Black)
	}
	return ""
}

// halfBlocks draws light on dark, as most terminals are: a light module is a
// painted one. Cameras read the inverse too.
func halfBlocks(size int, black func(x, y int) bool) string {
	light := func(x, y int) bool { return x < 0 || y < 0 || x >= size || y >= size || !black(x, y) }
	var drawn strings.Builder
	for y := -quietZone; y < size+quietZone; y += 2 {
		for x := -quietZone; x < size+quietZone; x++ {
			switch upper, lower := light(x, y), light(x, y+1) && y+1 < size+quietZone; {
			case upper && lower:
				drawn.WriteRune('█')
			case upper:
				drawn.WriteRune('▀')
			case lower:
				drawn.WriteRune('▄')
			default:
				drawn.WriteByte(' ')
			}
		}
		drawn.WriteByte('\n')
	}
	return drawn.String()
}

// showsQR is the code as it fits the terminal that standard error is; empty if
// it does not, or if the terminal may not know the characters.
func (p person) showsQR(text string) string {
	file, ok := p.env.Stderr.(*os.File)
	if !ok || !p.watching || p.env.Lookup("TERM") == "dumb" || !speaksUTF8(p.env.Lookup) {
		return ""
	}
	drawn := qrCode(text)
	columns, rows, err := term.GetSize(int(file.Fd()))
	width := strings.Count(strings.SplitN(drawn, "\n", 2)[0], "") - 1
	// Some lines for what stands above and below it.
	if err != nil || width >= columns || strings.Count(drawn, "\n")+8 > rows {
		return ""
	}
	return drawn
}

// speaksUTF8 reports whether the locale's characters are UTF-8: the first of
// these variables that is set decides (POSIX, Base Definitions, section 8.2).
func speaksUTF8(lookup func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(lookup(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}
