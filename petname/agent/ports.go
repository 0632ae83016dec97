package agent

// ports returns the ports that a node of this home bound before. Without the file, or if
// it is damaged, a node binds new ones.
func (s *state) ports() []ListenPort {
	ports, err := s.home.Ports()
	if err != nil {
		s.log.Warn("the ports of this node are unknown: it listens on new ones", "error", err)
	}
	return ports
}

// keepPorts stores the ports that a node bound. The caller holds mu.
func (s *state) keepPorts(n Node) {
	if bound := n.Ports(); len(bound) > 0 {
		if err := s.home.KeepPorts(bound); err != nil {
			s.log.Warn("the ports of this node are not kept: its next start may use others", "error", err)
		}
	}
}
