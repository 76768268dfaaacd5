import type { Audit as Entries } from "../api.ts"
import { exact, instant, visible } from "../format.ts"
import { useAudit } from "../queries.ts"
import { Ago, Empty, Failed, Heading, Loading } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"

type Row = Entries["entries"][number]

const tone = { Done: "", Refused: "text-dead", Failed: "text-dead", Interrupted: "text-blocked" } as const

export const Audit = () => {
  const { data, error, isPending } = useAudit()
  if (data === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  return (
    <>
      <Heading title="Audit">
        Who asked for what lately, as this process has seen it. The whole log is where the application keeps it.
      </Heading>
      <div className="panel mx-4 mb-8 overflow-hidden md:mx-6">
        {data.entries.length === 0 ? <Empty title="Nobody has changed anything yet" /> : (
          <Table<Row>
            label="Audit"
            rows={data.entries}
            keyOf={({ action, at, where }) => `${at}-${action}-${where}`}
            columns={[
              {
                name: "When",
                cell: ({ at }) => (
                  <span title={instant(at)} className="whitespace-nowrap">
                    <Ago at={at} />
                  </span>
                )
              },
              {
                name: "Who",
                cell: ({ address, principal }) => (
                  <>
                    <bdi>{visible(principal)}</bdi> <span className="label">{address}</span>
                  </>
                )
              },
              { name: "Action", cell: ({ action }) => <span className="font-medium">{action}</span> },
              {
                name: "On",
                cell: ({ options, where }) => (
                  <span
                    className="block max-w-lg truncate font-mono text-[11.5px] text-soft"
                    title={visible(`${where} ${options}`)}
                  >
                    <bdi>{visible(where)} {options === "{}" ? "" : visible(options)}</bdi>
                  </span>
                )
              },
              {
                name: "Outcome",
                cell: ({ detail, outcome }) => <span className={tone[outcome]} title={detail}>{outcome}</span>
              },
              {
                name: "Records",
                isNumber: true,
                cell: ({ changed, requested }) =>
                  changed === undefined ? <span className="text-faint">–</span> : exact(changed + (requested ?? 0))
              }
            ]}
          />
        )}
      </div>
    </>
  )
}
