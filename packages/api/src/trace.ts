/** Where a part reports what a user may want to see. Cheap when nobody listens. */
export interface Trace {
  readonly enabled: boolean
  /** A thing worth knowing about: a guest's driver misbehaves, a register is unimplemented. Rate-limited by the machine. */
  warn(message: string): void
  /** Fine detail, only when {@link Trace.enabled}. */
  event(name: string, detail?: Readonly<Record<string, number | string | boolean>>): void
}
