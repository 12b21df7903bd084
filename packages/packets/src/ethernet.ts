/** Byte offsets of an Ethernet II header (IEEE 802.3, 3.1.1), and its length without a VLAN tag. */
export const ethernet: {
  readonly destination: 0
  readonly source: 6
  readonly type: 12
  readonly length: 14
} = { destination: 0, source: 6, type: 12, length: 14 }

/** EtherTypes. */
export const etherType: {
  readonly ipv4: 0x0800
  readonly arp: 0x0806
  readonly vlan: 0x8100
  readonly ipv6: 0x86dd
  readonly serviceVlan: 0x88a8
} = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, serviceVlan: 0x88a8 }
