/** Numbers of the network device (virtio 1.2, 5.1). */

/** Feature bits (5.1.3). */
export const netFeature = {
  csum: 0, guestCsum: 1, ctrlGuestOffloads: 2, mtu: 3, mac: 5, guestTso4: 7, guestTso6: 8, guestEcn: 9, hostTso4: 11, hostTso6: 12, hostEcn: 13,
  mrgRxbuf: 15, status: 16, ctrlVq: 17, ctrlRx: 18, ctrlVlan: 19, ctrlRxExtra: 20, guestAnnounce: 21, mq: 22, ctrlMacAddr: 23,
  guestUso4: 54, guestUso6: 55, hostUso: 56, speedDuplex: 63,
} as const

/** Byte offsets in the configuration space (5.1.4). */
export const netConfig = { mac: 0, status: 6, maxPairs: 8, mtu: 10, speed: 12, duplex: 16, size: 24 } as const

/** Bits of the status field. */
export const netStatus = { linkUp: 1, announce: 2 } as const

/** `struct virtio_net_hdr` before every packet (5.1.6). Without `num_buffers`, in its short form, it ends where that would be. */
export const packetHeader = { flags: 0, gsoType: 1, hdrLen: 2, gsoSize: 4, csumStart: 6, csumOffset: 8, numBuffers: 10, size: 12 } as const
export const packetFlag = { needsCsum: 1, dataValid: 2 } as const
export const gsoType = { none: 0, tcp4: 1, tcp6: 4, udpL4: 5, ecn: 0x80 } as const

/** Classes and commands of the control queue (5.1.6.5). */
export const controlClass = { rx: 0, mac: 1, vlan: 2, announce: 3, mq: 4, guestOffloads: 5 } as const
export const rxCommand = { promisc: 0, allmulti: 1, alluni: 2, nomulti: 3, nouni: 4, nobcast: 5 } as const
export const macCommand = { tableSet: 0, addrSet: 1 } as const
export const vlanCommand = { add: 0, del: 1 } as const
export const announceAck = 0
export const pairsSet = 0
export const guestOffloadsSet = 0
export const controlAck = { ok: 0, error: 1 } as const
export const controlHeaderSize = 2
