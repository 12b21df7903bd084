/** What the owner of a stream does with what comes. */
export interface ByteListener {
  /** Bytes came, any number of them. */
  bytes(bytes: Uint8Array): void
  /** More may be sent, after {@link ByteDuplex.send} said no. */
  writable(): void
  /** It has ended, from either side. Called once; nothing comes afterwards. */
  closed(): void
}

/** A stream of bytes in both directions, in order and without loss, as a Unix socket is. A host makes one of what it has. */
export interface ByteDuplex {
  /** From now on; called once, before anything else. */
  listen(listener: ByteListener): void
  /**
   * Sends bytes, which belong to the stream from then on.
   *
   * @returns false when so much waits that whoever has a choice sends no more until it is `writable`
   */
  send(bytes: Uint8Array): boolean
  /** Whether bytes are to come. While they are not, the other end is held up sooner or later. */
  flow(on: boolean): void
  /** Ends it when all that was sent has gone. */
  close(): void
}
