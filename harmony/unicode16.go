package harmony

// unicode16 lists the letters, marks and numbers of Unicode 16 that Go's
// unicode package, at version 15.0.0, does not know. openai-harmony classifies
// by Unicode 16.
var unicode16 = []struct {
	first, last rune
	class       uint8
}{
	{0x0897, 0x0897, upper | lower},            // Mn
	{0x1C89, 0x1C89, upper | letter},           // Lu
	{0x1C8A, 0x1C8A, lower | letter},           // Ll
	{0xA7CB, 0xA7CC, upper | letter},           // Lu
	{0xA7CD, 0xA7CD, lower | letter},           // Ll
	{0xA7DA, 0xA7DA, upper | letter},           // Lu
	{0xA7DB, 0xA7DB, lower | letter},           // Ll
	{0xA7DC, 0xA7DC, upper | letter},           // Lu
	{0x105C0, 0x105F3, upper | lower | letter}, // Lo
	{0x10D40, 0x10D49, number},                 // Nd
	{0x10D4A, 0x10D4D, upper | lower | letter}, // Lo
	{0x10D4E, 0x10D4E, upper | lower | letter}, // Lm
	{0x10D4F, 0x10D4F, upper | lower | letter}, // Lo
	{0x10D50, 0x10D65, upper | letter},         // Lu
	{0x10D69, 0x10D6D, upper | lower},          // Mn
	{0x10D6F, 0x10D6F, upper | lower | letter}, // Lm
	{0x10D70, 0x10D85, lower | letter},         // Ll
	{0x10EC2, 0x10EC4, upper | lower | letter}, // Lo
	{0x10EFC, 0x10EFC, upper | lower},          // Mn
	{0x11380, 0x11389, upper | lower | letter}, // Lo
	{0x1138B, 0x1138B, upper | lower | letter}, // Lo
	{0x1138E, 0x1138E, upper | lower | letter}, // Lo
	{0x11390, 0x113B5, upper | lower | letter}, // Lo
	{0x113B7, 0x113B7, upper | lower | letter}, // Lo
	{0x113B8, 0x113BA, upper | lower},          // Mc
	{0x113BB, 0x113C0, upper | lower},          // Mn
	{0x113C2, 0x113C2, upper | lower},          // Mc
	{0x113C5, 0x113C5, upper | lower},          // Mc
	{0x113C7, 0x113CA, upper | lower},          // Mc
	{0x113CC, 0x113CD, upper | lower},          // Mc
	{0x113CE, 0x113CE, upper | lower},          // Mn
	{0x113CF, 0x113CF, upper | lower},          // Mc
	{0x113D0, 0x113D0, upper | lower},          // Mn
	{0x113D1, 0x113D1, upper | lower | letter}, // Lo
	{0x113D2, 0x113D2, upper | lower},          // Mn
	{0x113D3, 0x113D3, upper | lower | letter}, // Lo
	{0x113E1, 0x113E2, upper | lower},          // Mn
	{0x116D0, 0x116E3, number},                 // Nd
	{0x11BC0, 0x11BE0, upper | lower | letter}, // Lo
	{0x11BF0, 0x11BF9, number},                 // Nd
	{0x11F5A, 0x11F5A, upper | lower},          // Mn
	{0x13460, 0x143FA, upper | lower | letter}, // Lo
	{0x16100, 0x1611D, upper | lower | letter}, // Lo
	{0x1611E, 0x16129, upper | lower},          // Mn
	{0x1612A, 0x1612C, upper | lower},          // Mc
	{0x1612D, 0x1612F, upper | lower},          // Mn
	{0x16130, 0x16139, number},                 // Nd
	{0x16D40, 0x16D42, upper | lower | letter}, // Lm
	{0x16D43, 0x16D6A, upper | lower | letter}, // Lo
	{0x16D6B, 0x16D6C, upper | lower | letter}, // Lm
	{0x16D70, 0x16D79, number},                 // Nd
	{0x18CFF, 0x18CFF, upper | lower | letter}, // Lo
	{0x1CCF0, 0x1CCF9, number},                 // Nd
	{0x1E5D0, 0x1E5ED, upper | lower | letter}, // Lo
	{0x1E5EE, 0x1E5EF, upper | lower},          // Mn
	{0x1E5F0, 0x1E5F0, upper | lower | letter}, // Lo
	{0x1E5F1, 0x1E5FA, number},                 // Nd
	{0x2EBF0, 0x2EE5D, upper | lower | letter}, // Lo
}
