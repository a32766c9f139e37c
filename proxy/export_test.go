package proxy

import "cofre/s3api"

// Served says whether the operation is in the handler's table. A preflight is answered before it.
func Served(op s3api.Operation) bool {
	_, ok := operations[op]
	return ok || op == s3api.CORSPreflight
}
