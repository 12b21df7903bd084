/** A host's side of memory that a guest plugs and unplugs. */
export interface HotplugPort {
  /** Bytes that the guest is asked to have plugged. Changes through the gate. */
  readonly target: number
  /** Registers the device's interest; it is called through the gate. */
  listen(listener: { targetChanged(): void }): void
  /** So many bytes are plugged now. */
  resized(bytes: number): void
}
