/**
 * The command with all of its packages, which the build makes one script of: to find, read and link the modules of two dozen packages takes longer than most of what they
 * do.
 */
export { main } from '../main.ts'
export { beProcessor } from '../daemon/processor.ts'

/**
 * The script's value.
 *
 * @param require - for modules of Node.js
 * @param importModule - `import()`
 * @param packageUrl - the URL of a package's entry, which is `import.meta.url` to what is in it
 * @param module - whose exports it sets
 */
export type Command = (require: NodeJS.Require, importModule: (url: string) => Promise<unknown>, packageUrl: (name: string) => string, module: object) => Pick<typeof import('../main.ts'), 'main'> & Pick<typeof import('../daemon/processor.ts'), 'beProcessor'>
