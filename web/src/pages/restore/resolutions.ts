/**
 * The service's ways out of a conflict, as the console can offer them. The service tells them as texts that suit every
 * client: statements to run, and options of a request. What is an option there is a field here.
 */
import { isStatement, sentence } from '../../format/words';

export type Resolution =
  /** SQL to be run on the destination. */
  | { kind: 'statement'; text: string }
  /** Another name for what is restored. */
  | { kind: 'rename'; name: string }
  /** Something else to do, in words. */
  | { kind: 'advice'; text: string };

const RENAMES = /^(?:new_db_name|new_table_name) (.+)$/;

/** Text in the quotes that a name gets where it has to. */
const unquoted = (name: string) => name.replace(/^(["'])(.*)\1/, '$2');

export function resolutionOf(text: string): Resolution | undefined {
  const name = RENAMES.exec(text)?.[1];
  if (name !== undefined) return { kind: 'rename', name: unquoted(name) };
  if (isStatement(text)) return { kind: 'statement', text };
  if (text.startsWith('into_db with'))
    return { kind: 'advice', text: 'Restore it into a new database, by another name in Restore to.' };
  // The fields and the options of the form say as much.
  if (/^(into_|skip_missing_)/.test(text)) return undefined;
  return { kind: 'advice', text: sentence(text) };
}

export const resolutionsOf = (texts: readonly string[]): Resolution[] =>
  texts.map(resolutionOf).filter((one) => one !== undefined);

/** `name shop.public.customers too, to restore it`: a request may name several tables, the form names one. */
export const isNamedToo = (text: string): boolean => /\bname .+ too\b|\bnamed too\b/.test(text);
