import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build, type BuildOptions, type Plugin } from 'esbuild'
import { type Build, library } from '../../tsup.base.ts'

const at = (path: string): string => join(import.meta.dirname, path)
const common: BuildOptions = { bundle: true, platform: 'node', target: 'node20.19', format: 'cjs', legalComments: 'none', logLevel: 'warning', absWorkingDir: import.meta.dirname }

/** `import.meta.url` is that of the package's entry: packages look for files of theirs, and for what is installed beside them. */
const packageUrls: Plugin = {
  name: 'package-urls',
  setup({ onLoad }) {
    onLoad({ filter: /\.[jt]s$/ }, ({ path }) => {
      const code = readFileSync(path, 'utf8')
      if (!code.includes('import.meta.url')) return null
      return { contents: code.replaceAll('import.meta.url', `packageUrl(${JSON.stringify(packageOf(path))})`), loader: path.endsWith('.ts') ? 'ts' : 'js' }
    })
  },
}

/** The name of the package that a file is in. */
function packageOf(path: string): string {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    try {
      return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name: string }).name
    } catch (error) {
      if (folder === dirname(folder)) throw error
    }
  }
}

/** Has modules of Node.js loaded when they are first used: most commands need few of them. */
function loadedLater(code: string): string {
  const names = [...code.matchAll(/^var (import_\w+) = require\("(node:[\w/]+)"\);$/gm)].map(([line, name = '', module = '']) => ({ line, name, module }))
  return names.reduce((text, { line, name, module }) => text
    .replace(line, `var ${name}_, ${name} = () => ${name}_ ??= require("${module}");`)
    .replaceAll(new RegExp(`\\b${name}\\.`, 'g'), `(${name}()).`), code)
}

/** The command as one script (src/start/command.ts), and what runs it. */
async function command(): Promise<void> {
  const bundled = await build({ ...common, entryPoints: ['src/start/command.ts'], external: ['@machinist/host-metal/build'], plugins: [packageUrls], write: false })
  const [file] = bundled.outputFiles ?? []
  if (file === undefined) throw new Error('no script was made')
  // What is imported while it runs is for its caller to import: of a script that was kept, V8 does not know whose it is.
  const text = loadedLater(file.text).replaceAll('await import(', 'await importModule(')
  const code = `(function (require, importModule, packageUrl, module) {\n${text}\nreturn module.exports\n})\n`
  writeFileSync(at('dist/command.cjs'), code)
  const id = createHash('sha256').update(code).digest('hex').slice(0, 16)
  // What runs it: the program, and the threads of its hypervisor.
  await build({ ...common, entryPoints: ['src/cli.ts', 'src/processor.ts'], outdir: 'dist', outExtension: { '.js': '.cjs' }, define: { SCRIPT_ID: JSON.stringify(id) } })
}

const packageBuild: Build = library({ 'index': 'src/index.ts', 'metal/program': 'src/metal/program.ts' }, { onSuccess: command })
export default packageBuild
