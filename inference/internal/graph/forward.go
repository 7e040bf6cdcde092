// Package graph states the gpt-oss model once: its configuration, its weights by
// role, and the forward pass as a sequence of operations that a backend carries
// out. It reads the model's layouts (Hugging Face's, OpenAI's own, GGUF's) into one
// form. It computes nothing but tables; see internal/ref and internal/gpu.
//
// The formulas are those of OpenAI's gpt_oss/torch/model.py and of the model
// card, arXiv:2508.10925, with activations and accumulation in f32.
package graph

// Forward is the model: it calls the operations of one pass in order, in the
// order of model.py. The backend has been given the batch before.
func Forward(o Ops, c *Config, w *Weights) {
	o.Embed(w.Embedding)
	for l := range w.Layers {
		b := &w.Layers[l]

		// Attention.
		o.RMSNorm(Norm, X, b.AttnNorm)
		o.Linear(Q, Norm, &b.Query)
		o.Linear(K, Norm, &b.Key)
		o.Linear(V, Norm, &b.Value)
		o.Rotate(Q)
		o.Rotate(K)
		o.Append(l)
		o.Attend(l, b.Sinks)
		o.AddLinear(X, Ctx, &b.Out)

		// Mixture of experts.
		o.RMSNorm(Norm, X, b.MLPNorm)
		o.Linear(Router, Norm, &b.Router)
		o.Route()
		o.Experts(&b.Up, &b.Down)
	}
	o.Pick()
	o.RMSNorm(LastN, Last, w.Norm)
	o.Linear(Logits, LastN, &w.Unembedding)
}
