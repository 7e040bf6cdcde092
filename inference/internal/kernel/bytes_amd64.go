//go:build goexperiment.simd

package kernel

// vnni multiplies bytes with AVX512-VNNI, of which simd/archsimd has nothing: its
// functions are assembly, written by the program in the folder of that name, which
// needs a library that nothing else does.
var vnni = &byteKernels{
	unpack: [formats]func(panel, data []byte, row, blocks int){
		MXFP4: unpackVNNI(unpackMXFP4Bytes), MXFP4_17: unpackVNNI(unpackMXFP4x17Bytes), Q8_0: unpackVNNI(unpackQ8Bytes),
	},
	dot: func(sums *[byteInputs][TileRows]float32, panel []byte, x *[byteInputs][]byte, fix, blocks int) {
		if blocks == 0 {
			return
		}
		_ = panel[blocks*panelBlock-1]
		for _, in := range x {
			_ = in[blocks*inputBlock-1]
		}
		dotBytes(&sums[0][0], &panel[0], &x[0][0], &x[1][0], &x[2][0], &x[3][0], fix, blocks)
	},
}

// unpackVNNI checks what a function of assembly does not.
func unpackVNNI(f func(panel, data *byte, row, blocks int)) func(panel, data []byte, row, blocks int) {
	return func(panel, data []byte, row, blocks int) {
		if blocks == 0 {
			return
		}
		_, _ = panel[blocks*panelBlock-1], data[TileRows*row-1]
		f(&panel[0], &data[0], row, blocks)
	}
}
