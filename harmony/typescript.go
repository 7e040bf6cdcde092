package harmony

func (t Tools) text() string { return "" }
