/** Characters that one call of String.fromCharCode takes. */
const FEW = 8192

/** JSON as bytes: in it, characters that are not ASCII can be written as `\\uXXXX`, so no encoding is needed. */
export function asciiOf(json: string): Uint8Array {
  const text = json.replace(/[\u007f-\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** The text of ASCII bytes; null when there are others. */
export function textOf(bytes: Uint8Array): string | null {
  if (bytes.some((byte) => byte > 0x7e)) return null
  let text = ''
  for (let at = 0; at < bytes.length; at += FEW) text += String.fromCharCode(...bytes.subarray(at, at + FEW))
  return text
}
