/** A time, which breaks only between its day and its hour where a column is narrow. */
import { dateTime } from '../format/time';

export function When({ at }: { at: string | null | undefined }) {
  const [day = '', hour] = dateTime(at).split(/ (?=at )/);
  return (
    <span>
      <span style={{ whiteSpace: 'nowrap' }}>{day}</span>
      {hour && (
        <>
          {' '}
          <span style={{ whiteSpace: 'nowrap' }}>{hour}</span>
        </>
      )}
    </span>
  );
}
