const AR_MAGIC = '!<arch>\n'

/** A member of an `ar` archive: a header of fixed columns, the content, padded to an even length. */
function arMember(name: string, content: Uint8Array): Buffer {
  const header = `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${String(content.length).padEnd(10)}\`\n`
  return Buffer.concat([Buffer.from(header), content, Buffer.from(content.length % 2 === 1 ? '\n' : '')])
}

/**
 * A Debian package (deb(5)) of two archives.
 *
 * @param control - an uncompressed tar archive of the control files
 * @param dataName - `data.tar`, or with the suffix of its compression
 */
export function debPackage(control: Uint8Array, dataName: string, data: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(AR_MAGIC), arMember('debian-binary', Buffer.from('2.0\n')), arMember('control.tar', control), arMember(dataName, data)])
}
