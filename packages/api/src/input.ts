/**
 * Keyboards and pointers between a host and an input device: events as Linux's evdev has them, with the numbers of its
 * `input-event-codes.h`, in packets that end with SYN_REPORT.
 */

/** One event. */
export interface InputEvent {
  /** EV_KEY, EV_REL, EV_ABS and so on; 16 bits. */
  readonly type: number
  /** What of that type: a key, an axis; 16 bits. */
  readonly code: number
  /** A signed integer of 32 bits: 1 and 0 for a key that goes down and up, a position or a distance for an axis. */
  readonly value: number
}

/** Most events of one packet, its SYN_REPORT included. */
export const maximumInputPacket: number = 64

/** What happens at a keyboard or pointer, for one input device. Pulled: the device takes a packet when the guest has room. */
export interface InputPort {
  /** Takes the next packet: 1 to {@link maximumInputPacket} events, of which the last is SYN_REPORT. Null when there is none. */
  receive(): readonly InputEvent[] | null
  /** The guest changes something at the device: turns on a light (EV_LED). */
  status(event: InputEvent): void
  /** Registers the device's interest. Called through the gate. */
  listen(listener: { readable(): void }): void
}
