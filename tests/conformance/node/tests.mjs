// Writes what the suite says of its tests, as JSON: [{id, kind, group, needs, name, listed, browser_only}].
// Arguments: modules of tests, the suite's own list first. What only a later module has is not `listed`.
import { pathToFileURL } from 'node:url'

const found = []
for (const [position, file] of process.argv.slice(2).entries()) {
  const { default: content } = await import(pathToFileURL(file))
  for (const group of [content].flat()) {
    for (const test of group.tests) {
      found.push({
        id: test.id,
        kind: test.kind ?? 'required',
        group: group.name,
        needs: test.depends_on ?? [],
        name: test.name,
        listed: position === 0,
        browser_only: test.browser_only === true
      })
    }
  }
}
console.log(JSON.stringify(found))
