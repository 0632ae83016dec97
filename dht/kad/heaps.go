package kad

import "bytes"

// furthest is a source's items as a heap.
type furthest source

func (f *furthest) Len() int { return len(f.items) }
func (f *furthest) Less(i, j int) bool {
	return bytes.Compare(f.items[i].distance[:], f.items[j].distance[:]) > 0
}

func (f *furthest) Swap(i, j int) {
	f.items[i], f.items[j] = f.items[j], f.items[i]
	f.items[i].index, f.items[j].index = i, j
}

func (f *furthest) Push(x any) {
	h := x.(*held)
	h.index = len(f.items)
	f.items = append(f.items, h)
}

func (f *furthest) Pop() any {
	last := len(f.items) - 1
	h := f.items[last]
	f.items[last] = nil
	f.items = f.items[:last]
	return h
}

// hoarders are the sources as a heap.
type hoarders []*source

func (c hoarders) Len() int { return len(c) }
func (c hoarders) Less(i, j int) bool {
	if a, b := c[i].cost/fair, c[j].cost/fair; a != b {
		return a > b
	}
	return bytes.Compare(c[i].items[0].distance[:], c[j].items[0].distance[:]) > 0
}

func (c hoarders) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].index, c[j].index = i, j
}

func (c *hoarders) Push(x any) {
	src := x.(*source)
	src.index = len(*c)
	*c = append(*c, src)
}

func (c *hoarders) Pop() any {
	last := len(*c) - 1
	src := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	src.index = -1
	return src
}
