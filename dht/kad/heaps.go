package kad

import "bytes"

// distanceHeap is the items of a source as a heap, furthest from the node
// first.
type distanceHeap source

func (f *distanceHeap) Len() int { return len(f.items) }
func (f *distanceHeap) Less(i, j int) bool {
	return bytes.Compare(f.items[i].distance[:], f.items[j].distance[:]) > 0
}

func (f *distanceHeap) Swap(i, j int) {
	f.items[i], f.items[j] = f.items[j], f.items[i]
	f.items[i].heapIndex, f.items[j].heapIndex = i, j
}

func (f *distanceHeap) Push(x any) {
	h := x.(*heldRecord)
	h.heapIndex = len(f.items)
	f.items = append(f.items, h)
}

func (f *distanceHeap) Pop() any {
	last := len(f.items) - 1
	h := f.items[last]
	f.items[last] = nil
	f.items = f.items[:last]
	return h
}

// costHeap is a heap of sources, by decreasing cost in steps of costTolerance;
// of equal ones, the source with the furthest item is first.
type costHeap []*source

func (c costHeap) Len() int { return len(c) }
func (c costHeap) Less(i, j int) bool {
	if a, b := c[i].cost/costTolerance, c[j].cost/costTolerance; a != b {
		return a > b
	}
	return bytes.Compare(c[i].items[0].distance[:], c[j].items[0].distance[:]) > 0
}

func (c costHeap) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].heapIndex, c[j].heapIndex = i, j
}

func (c *costHeap) Push(x any) {
	src := x.(*source)
	src.heapIndex = len(*c)
	*c = append(*c, src)
}

func (c *costHeap) Pop() any {
	last := len(*c) - 1
	src := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	src.heapIndex = -1
	return src
}
