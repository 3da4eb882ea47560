// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package qrcode is the encoder of ISO/IEC 18004 for what is needed here:
// bytes, the lowest level of error correction (a screen has no stains), the
// first mask, and the versions up to 9, which hold 230 bytes.
//
// A library would compute its tables before main, on the credential plugin's
// warm path, for all those who never see a QR code. The test compares with
// one, module by module. The plugin draws codes in a terminal, the provider on
// the page where an app is enrolled.
package qrcode

// version is one row of the tables 7 and 9, level L, and of annex E.
type version struct {
	data, check, blocks int   // codewords: of data in all, of each block's check, blocks
	align               []int // centers of the alignment patterns
}

func versions() []version {
	return []version{
		{19, 7, 1, nil},
		{34, 10, 1, []int{6, 18}},
		{55, 15, 1, []int{6, 22}},
		{80, 20, 1, []int{6, 26}},
		{108, 26, 1, []int{6, 30}},
		{136, 18, 2, []int{6, 34}},
		{156, 20, 2, []int{6, 22, 38}},
		{194, 24, 2, []int{6, 24, 42}},
		{232, 30, 2, []int{6, 26, 46}},
	}
}

// Code is a QR code, without its quiet zone.
type Code struct {
	Size         int      // modules, each way
	black, fixed [][]bool // fixed modules carry no data
}

// Black reports whether the module is a dark one.
func (c *Code) Black(x, y int) bool { return c.black[y][x] }

// Encode returns nil for a text that is too long.
func Encode(text []byte) *Code {
	for n, v := range versions() {
		// Four bits of mode and eight of length; the end may be cut off.
		if len(text)+2 <= v.data {
			c := newCode(n+1, v.align)
			c.place(v.codewords(text))
			return c
		}
	}
	return nil
}

// codewords are the data and the checks, interleaved (sections 7.4 to 7.6).
func (v version) codewords(text []byte) []byte {
	// 1. Byte mode 0100, the length, the text, the terminator 0000.
	data := make([]byte, 0, v.data)
	last := byte(0b0100)
	for _, b := range append([]byte{byte(len(text))}, text...) {
		data, last = append(data, last<<4|b>>4), b&0xf
	}
	data = append(data, last<<4)
	for pad := byte(0xec); len(data) < v.data; pad ^= 0xec ^ 0x11 {
		data = append(data, pad)
	}
	// 2. Blocks of equal size, column by column; then their checks.
	size := v.data / v.blocks
	var out []byte
	for i := range size {
		for block := range v.blocks {
			out = append(out, data[block*size+i])
		}
	}
	checks := make([][]byte, v.blocks)
	for block := range checks {
		checks[block] = reedSolomon(data[block*size:(block+1)*size], v.check)
	}
	for i := range v.check {
		for _, check := range checks {
			out = append(out, check[i])
		}
	}
	return out
}

// reedSolomon is the remainder of the data by the product of (x - 2^i), over
// the field of 256 elements with the polynomial 0x11d.
func reedSolomon(data []byte, count int) []byte {
	generator := make([]byte, count) // without its leading 1
	generator[count-1] = 1
	for root, i := byte(1), 0; i < count; i++ {
		for j := range generator {
			generator[j] = multiply(generator[j], root)
			if j+1 < count {
				generator[j] ^= generator[j+1]
			}
		}
		root = multiply(root, 2)
	}
	remainder := make([]byte, count)
	for _, b := range data {
		factor := b ^ remainder[0]
		copy(remainder, remainder[1:])
		remainder[count-1] = 0
		for j := range remainder {
			remainder[j] ^= multiply(generator[j], factor)
		}
	}
	return remainder
}

// multiply is the field's product.
func multiply(a, b byte) byte {
	var product byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		carry := a >> 7
		a = a<<1 ^ carry*0x1d
	}
	return product
}

// newCode draws what is the same for each text (sections 6.3, 7.9, 7.10).
func newCode(number int, align []int) *Code {
	c := &Code{Size: 17 + 4*number}
	for range c.Size {
		c.black, c.fixed = append(c.black, make([]bool, c.Size)), append(c.fixed, make([]bool, c.Size))
	}
	// 1. Timing.
	for i := range c.Size {
		c.fix(6, i, i%2 == 0)
		c.fix(i, 6, i%2 == 0)
	}
	// 2. The three finders, with their light frames.
	for _, corner := range [][2]int{{3, 3}, {c.Size - 4, 3}, {3, c.Size - 4}} {
		c.rings(corner[0], corner[1], 4, func(ring int) bool { return ring != 2 && ring != 4 })
	}
	// 3. Alignment, except where the finders are.
	for i, x := range align {
		for j, y := range align {
			if i == 0 && (j == 0 || j == len(align)-1) || j == 0 && i == len(align)-1 {
				continue
			}
			c.rings(x, y, 2, func(ring int) bool { return ring != 1 })
		}
	}
	// 4. The format, twice: level L is 01, the mask is 000.
	format := (0b01<<13 | remainderOf(0b01<<13, 0x537)) ^ 0x5412
	for i := range 15 {
		bit := format>>i&1 == 1
		switch {
		case i < 6:
			c.fix(8, i, bit)
		case i < 8:
			c.fix(8, i+1, bit)
		case i == 8:
			c.fix(7, 8, bit)
		default:
			c.fix(14-i, 8, bit)
		}
		if i < 8 {
			c.fix(c.Size-1-i, 8, bit)
		} else {
			c.fix(8, c.Size-15+i, bit)
		}
	}
	c.fix(8, c.Size-8, true)
	// 5. The version, twice, from 7 on.
	if number >= 7 {
		bits := number<<12 | remainderOf(number<<12, 0x1f25)
		for i := range 18 {
			bit := bits>>i&1 == 1
			c.fix(c.Size-11+i%3, i/3, bit)
			c.fix(i/3, c.Size-11+i%3, bit)
		}
	}
	return c
}

func (c *Code) fix(x, y int, black bool) { c.black[y][x], c.fixed[y][x] = black, true }

// rings draws squares around a center, as far as they are inside.
func (c *Code) rings(cx, cy, radius int, black func(ring int) bool) {
	for y := max(cy-radius, 0); y <= min(cy+radius, c.Size-1); y++ {
		for x := max(cx-radius, 0); x <= min(cx+radius, c.Size-1); x++ {
			c.fix(x, y, black(max(x-cx, cx-x, y-cy, cy-y)))
		}
	}
}

// place puts the codewords into the free modules, upwards and downwards in
// columns of two from the right, under the mask 000 (sections 7.7.3, 7.8).
func (c *Code) place(codewords []byte) {
	next, up := 0, true
	for right := c.Size - 1; right > 0; right -= 2 {
		if right == 6 {
			right-- // the timing has a column of its own
		}
		for i := range c.Size {
			y := i
			if up {
				y = c.Size - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if c.fixed[y][x] {
					continue
				}
				bit := next < 8*len(codewords) && codewords[next/8]>>(7-next%8)&1 == 1
				next++
				c.black[y][x] = bit != ((x+y)%2 == 0)
			}
		}
		up = !up
	}
}

// remainderOf divides polynomials over two elements.
func remainderOf(value, divisor int) int {
	bits := func(n int) (count int) {
		for ; n > 0; n >>= 1 {
			count++
		}
		return count
	}
	for bits(value) >= bits(divisor) {
		value ^= divisor << (bits(value) - bits(divisor))
	}
	return value
}
