/** Names the modules of the reference as they are imported, and puts every export into its group. */
import { readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { Comment, CommentTag, Converter, ReflectionKind } from 'typedoc'
import { groupOf } from './groups.mjs'

/** The package that a source file is of, and its path below `src`. @param {string} file */
function placeOf(file) {
  const [, folder, source] = /^(.*[\\/]packages[\\/][^\\/]+)[\\/]src[\\/](.*)$/.exec(file) ?? []
  if (folder === undefined || source === undefined) return undefined
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return { folder, manifest, source: source.replaceAll(sep, '/') }
}

/** How a package's entry is imported. @param {string} file */
function importPath(file) {
  const place = placeOf(file)
  if (place === undefined) return undefined
  const [entry] = Object.entries(place.manifest.exports).find(([, target]) => typeof target === 'object' && target['@machinist/source'] === `./src/${place.source}`) ?? []
  return entry === undefined ? undefined : place.manifest.name + entry.slice(1)
}

/** @param {import('typedoc').Application} app */
export function load(app) {
  // A guide is called what its heading says.
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const text = document.content.map((part) => part.text).join('')
    document.name = /^# (.+)$/m.exec(text)?.[1] ?? document.name
  })
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    /** @param {import('typedoc').Reflection} reflection */
    const fileOf = (reflection) => context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName
    /** @param {import('typedoc').ContainerReflection} owner */
    const group = (owner) => {
      for (const child of owner.children ?? []) {
        if (child.kindOf(ReflectionKind.Module)) {
          const name = importPath(fileOf(child) ?? '')
          if (name !== undefined) child.name = name
          group(child)
          continue
        }
        const target = child.isReference() ? child.tryGetTargetReflectionDeep() : child
        const place = placeOf(fileOf(target ?? child) ?? fileOf(child) ?? '')
        const title = place === undefined ? undefined : groupOf(place.manifest.name, place.source)
        if (title === undefined) continue
        child.comment ??= new Comment()
        child.comment.removeTags('@category')
        child.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: title }]))
      }
    }
    group(context.project)
  })
}
