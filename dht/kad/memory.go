package kad

// memory is who held what.
type memory struct{}
