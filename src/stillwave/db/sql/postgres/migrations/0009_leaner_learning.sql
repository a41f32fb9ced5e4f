-- The learned state is about 9 kB and rewritten with every feedback: compressing it costs more than it saves. Rows take
-- the new form when they are written next.
ALTER TABLE neural_profiles ALTER COLUMN base_frequency_response SET STORAGE EXTERNAL;
