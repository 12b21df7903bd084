/** Scalar types of a field in linear memory, little-endian. */
export type FieldType = 'u8' | 'u32' | 'i64'

/** A field: one scalar, or `[type, count]`, an array. */
export type Field = FieldType | readonly [FieldType, number]

/** A named structure in linear memory. Generated code and TypeScript use the same offsets. */
export interface Layout<Fields extends Readonly<Record<string, Field>>> {
  readonly name: string
  /** Whoever compiles code against a layout records its version, and refuses another. */
  readonly version: string
  readonly offset: { readonly [Name in keyof Fields]: number }
  readonly fields: Fields
  /** Bytes, a multiple of 64 so that structures do not share cache lines. */
  readonly size: number
}

const sizes: Readonly<Record<FieldType, number>> = { u8: 1, u32: 4, i64: 8 }

/**
 * Declares a structure. Fields are placed in the order given, each aligned to its size. The version is derived
 * from names, types and places, so it changes exactly when code compiled against the layout would be wrong.
 */
export function layout<const Fields extends Readonly<Record<string, Field>>>(name: string, fields: Fields): Layout<Fields> {
  const offset: Record<string, number> = {}
  let at = 0
  let hash = 0x811c9dc5
  const mix = (text: string): void => {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  for (const [field, type] of Object.entries<Field>(fields)) {
    const [scalar, count] = typeof type === 'string' ? [type, 1] : type
    const size = sizes[scalar]
    at = Math.ceil(at / size) * size
    offset[field] = at
    mix(`${field}:${scalar}*${count}@${at};`)
    at += size * count
  }
  return {
    name,
    version: (hash >>> 0).toString(16).padStart(8, '0'),
    offset: offset as { readonly [Name in keyof Fields]: number },
    fields,
    size: Math.ceil(at / 64) * 64,
  }
}
