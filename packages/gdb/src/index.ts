export { MAX_PACKET } from './packet.ts'
export { type GdbConnection, type GdbSession, gdbSession } from './session.ts'
export { MAX_STOPS } from './stops.ts'
