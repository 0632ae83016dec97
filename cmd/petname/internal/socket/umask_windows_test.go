package socket

func setUmask(int) (old int) { return 0 }
