/**
 * Ethernet between a network device and a host: frames, and what of the work on them may be left to the other end.
 */

/** The Internet checksum of a frame that is not filled in yet: the field holds the sum of the pseudo-header. */
export interface PartialChecksum {
  /** Byte of the frame at which the sum begins: the header of TCP or UDP. */
  readonly start: number
  /** Byte after `start` at which the 16-bit sum goes. */
  readonly offset: number
}

/** A frame that is longer than the link allows, to be cut by whoever needs it cut. */
export interface Segmentation {
  readonly kind: 'tcp4' | 'tcp6' | 'udp'
  /** Bytes of payload in each segment, above 0. */
  readonly size: number
  /** Bytes of Ethernet, IP and transport headers, which each segment repeats. */
  readonly headerLength: number
  /** Only the first segment may keep CWR (RFC 3168, 6.1.2). */
  readonly ecn: boolean
}

/** An Ethernet frame without preamble and FCS. */
export interface Frame {
  /**
   * From the destination address on. Never guest memory, and never changed once the frame was sent: several ends may
   * hold it.
   */
  readonly bytes: Uint8Array
  readonly checksum?: PartialChecksum
  /** Only together with `checksum`. */
  readonly segmentation?: Segmentation
  /** Whoever made it says that its checksums hold, or do not matter because it never left this host. */
  readonly trusted?: boolean
}

/** Work that a receiver of frames takes over; see {@link Frame}. */
export interface Offloads {
  readonly checksum: boolean
  readonly tcp4: boolean
  readonly tcp6: boolean
  readonly udp: boolean
  /** Segmentation of TCP where CWR is set. */
  readonly ecn: boolean
}

/** Nothing is left to the receiver: plain frames. */
export const noOffloads: Offloads = { checksum: false, tcp4: false, tcp6: false, udp: false, ecn: false }

/** Everything is. */
export const allOffloads: Offloads = { checksum: true, tcp4: true, tcp6: true, udp: true, ecn: true }

/** Longest frame: 64 KiB of IP packet behind an Ethernet header with one VLAN tag. Longer ones are dropped. */
export const maximumFrame: number = 65535 + 18

/** One end of an Ethernet link. Both directions have back-pressure; a frame that is refused is not taken. */
export interface NetPort {
  /** Largest IP packet in bytes, 68 to 65535. */
  readonly mtu: number
  /** Whether the cable is in. */
  readonly link: boolean
  /** What the network would like the station to be called, such as `'02:00:00:00:00:01'`, when its configuration says nothing. */
  readonly address?: string
  /** What {@link send} takes besides plain frames. */
  readonly offloads: Offloads
  /** Sends a frame and gives it away. False: it is not taken, because the other end is full; wait for `writable`. */
  send(frame: Frame): boolean
  /** Takes the next frame for the guest, or null. */
  receive(): Frame | null
  /** Says what frames from {@link receive} may leave to the taker. Nothing, until called. */
  accept(offloads: Offloads): void
  /** Says what the station is called, such as `'02:00:00:00:00:01'`, where its own configuration says so and not {@link NetPort.address}: a network that protects addresses protects that one. */
  claim?(address: string): void
  /** Registers the device's interest. All are called through the gate. */
  listen(listener: { readable(): void; writable(): void; linkChanged(): void }): void
}
