package telemetry

// The keys of log lines. They are API: people write queries over them.
const (
	KeyExchange    = "exchange" // id
	KeyConn        = "conn"     // id
	KeyDirection   = "direction"
	KeyProtocol    = "protocol"
	KeyLane        = "lane"
	KeyListener    = "listener"
	KeyPeer        = "peer"
	KeyDestination = "destination"
	KeyRoute       = "route"
	KeyStep        = "step"
	KeyMethod      = "method"
	KeyHost        = "host"
	KeyPath        = "path" // without the query, which may hold secrets
	KeyGRPC        = "grpc" // service/method
	KeyStatus      = "status"
	KeyGRPCStatus  = "grpc_status"
	KeyDuration    = "duration_ms"
	KeyAnswered    = "answered"
	KeyBreaker     = "breaker"
	KeyFrom        = "from"
	KeyTo          = "to"
	KeyOrigin      = "origin"
	KeyReason      = "reason"
	KeyError       = "error"
	KeyGeneration  = "generation"
	KeyHash        = "hash" // of the rules in force
	KeyRead        = "read" // hash of the rules that were refused
	KeyRoutes      = "routes"
	KeyProblems    = "problems"
	KeyProblem     = "problem"
	KeyRequests    = "requests"
	KeyFailures    = "failures"
)
