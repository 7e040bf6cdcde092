package agent

import "chorale/harmony"

// rein counts the tokens that a constraint forces upon the model.
type rein struct {
	Constraint // nil: none
	queued     int
	forced     int
}

func (r *run) rein() *rein {
	if r.Constrain == nil {
		return &rein{}
	}
	return &rein{Constraint: r.Constrain()}
}

// constraint is the rein for the engine, nil where there is none.
func (r *rein) constraint() Constraint {
	if r.Constraint == nil {
		return nil
	}
	return r
}

// Fork returns the constraint as it would go on by itself, nil where it cannot be
// followed that way. What is only tried is not counted.
func (r *rein) Fork() Constraint {
	if f, ok := r.Constraint.(interface{ Fork() Constraint }); ok {
		return f.Fork()
	}
	return nil
}

// Forced implements Constraint.
func (r *rein) Forced() []harmony.Token {
	ids := r.Constraint.Forced()
	r.queued = len(ids)
	return ids
}

// Accept implements Constraint.
func (r *rein) Accept(t harmony.Token) error {
	if r.queued > 0 {
		r.queued--
		r.forced++
	}
	return r.Constraint.Accept(t)
}
